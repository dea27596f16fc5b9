"""The webhook rules of VirtualMachineService (vm-service 4.1, virtualmachineservice_validator.go); see `admission`."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.kube import names as labels
from velero_vmservice.kube.manifest import Manifest, mapping, sequence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TYPES: Final = ("LoadBalancer", "ClusterIP", "ExternalName")
PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
IP_FAMILIES: Final = ("IPv4", "IPv6")
IP_FAMILY_POLICIES: Final = ("SingleStack", "PreferDualStack", "RequireDualStack")
HEADLESS: Final = "None"
HIGHEST_PORT: Final = 65535


def problems(manifest: Manifest) -> Iterator[str]:
    """Yield why the service would be refused at create."""
    spec = manifest.spec
    yield from _name(manifest.name)
    yield from _type(spec)
    yield from _cluster_ip(spec)
    yield from _external_name(spec)
    yield from _ports(spec)
    yield from _selector(spec)
    yield from _source_ranges(spec)
    yield from _ip_families(spec)


def _name(name: str) -> Iterator[str]:
    if not labels.is_dns_1035_label(name):
        yield (
            f"metadata.name is {name!r}: a service needs a DNS-1035 label, at most {labels.LABEL_LENGTH} lower-case"
            " letters, digits and dashes that begin with a letter; create it by hand under such a name"
        )


def _type(spec: Mapping[str, Any]) -> Iterator[str]:
    kind = spec.get("type")
    if not kind:
        yield f"spec.type is missing: it is required and not defaulted; set it to one of {', '.join(TYPES)}"
    elif kind not in TYPES:
        yield f"spec.type is {kind!r}: VM Operator knows {', '.join(TYPES)}; set it to one of them"


def _cluster_ip(spec: Mapping[str, Any]) -> Iterator[str]:
    kind, address = spec.get("type"), spec.get("clusterIp") or ""
    if not address:
        return
    if kind == "ExternalName":
        yield f"spec.clusterIp is {address!r}: a service of type ExternalName has none; leave it out"
    if address == HEADLESS:
        if kind == "LoadBalancer":
            yield (
                "spec.clusterIp is 'None': a service of type LoadBalancer cannot be headless; leave it out, or make the"
                " type ClusterIP"
            )
    elif not _is_address(address):
        yield f"spec.clusterIp is {address!r}: it is 'None' or an IP address; leave it out to have one assigned"


def _external_name(spec: Mapping[str, Any]) -> Iterator[str]:
    if spec.get("type") != "ExternalName":
        return
    external_name = spec.get("externalName")
    name = str(external_name or "").removesuffix(".")
    if not name:
        yield "spec.externalName is missing: a service of type ExternalName needs the host name it stands for; set it"
    elif not labels.is_dns_1123_subdomain(name):
        yield f"spec.externalName is {external_name!r}: it is a host name in lower case (RFC 1123); correct it"


def _ports(spec: Mapping[str, Any]) -> Iterator[str]:
    ports = [dict(mapping(port)) for port in sequence(spec.get("ports"))]
    if not ports and spec.get("type") != "ExternalName" and spec.get("clusterIp") != HEADLESS:
        yield "spec.ports is empty: only a headless service or one of type ExternalName has no ports; add one"
    names = Counter(str(port.get("name") or "") for port in ports)
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        yield from _port_name(path, port, names, alone=len(ports) == 1)
        yield from _port_numbers(path, port)
    yield from _same_port_twice(ports)


def _port_name(path: str, port: Mapping[str, Any], names: Counter[str], *, alone: bool) -> Iterator[str]:
    name = port.get("name")
    if not name:
        # The schema wants the field, the webhook wants it filled where there are several.
        if name is None or not alone:
            yield f"{path}.name is missing: a port needs a name; name it"
    elif not labels.is_dns_1123_label(str(name)):
        yield (
            f"{path}.name is {name!r}: a port's name is a DNS-1123 label, at most {labels.LABEL_LENGTH} lower-case"
            " letters, digits and dashes; rename it"
        )
    elif names[str(name)] > 1:
        yield f"{path}.name is {name!r}, which another port has: ports have different names; rename one"


def _port_numbers(path: str, port: Mapping[str, Any]) -> Iterator[str]:
    for field in ("port", "targetPort"):
        number = port.get(field)
        if number is None:
            yield f"{path}.{field} is missing: it is a number from 1 to {HIGHEST_PORT}; set it"
        elif not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= HIGHEST_PORT:
            yield f"{path}.{field} is {number!r}: it is a number from 1 to {HIGHEST_PORT}; correct it"
    protocol = port.get("protocol")
    if not protocol:
        yield f"{path}.protocol is missing: it is one of {', '.join(PROTOCOLS)}; set it"
    elif protocol not in PROTOCOLS:
        yield f"{path}.protocol is {protocol!r}: it is one of {', '.join(PROTOCOLS)}; correct it"


def _same_port_twice(ports: list[dict[str, Any]]) -> Iterator[str]:
    first: dict[tuple[str, str], int] = {}
    for index, port in enumerate(ports):
        pair = (str(port.get("protocol")), str(port.get("port")))
        if pair in first:
            yield (
                f"spec.ports[{index}] is {pair[0]} {pair[1]}, as spec.ports[{first[pair]}] is: protocol and port"
                " together occur once; take one out"
            )
        first.setdefault(pair, index)


def _selector(spec: Mapping[str, Any]) -> Iterator[str]:
    selector = spec.get("selector")
    if selector is not None and not isinstance(selector, dict):
        yield f"spec.selector is {selector!r}: it is a map of labels; correct it"
    for key, value in mapping(selector).items():
        if not labels.is_label_key(key):
            yield f"spec.selector has the key {key!r}: no label can have it; correct it"
        if not isinstance(value, str) or not labels.is_label_value(value):
            yield f"spec.selector[{key}] is {value!r}: no label can have that value; correct it"


def _source_ranges(spec: Mapping[str, Any]) -> Iterator[str]:
    ranges = sequence(spec.get("loadBalancerSourceRanges"))
    if ranges and spec.get("type") != "LoadBalancer":
        yield (
            f"spec.loadBalancerSourceRanges is set on a service of type {spec.get('type')}: only a LoadBalancer has"
            " them; leave it out"
        )
    for index, text in enumerate(ranges):
        if not isinstance(text, str) or not _is_cidr(text.strip()):
            yield (
                f"spec.loadBalancerSourceRanges[{index}] is {text!r}: it is a CIDR such as '10.0.0.0/8'; correct it, or"
                " take it out"
            )


def _ip_families(spec: Mapping[str, Any]) -> Iterator[str]:
    families, policy = sequence(spec.get("ipFamilies")), spec.get("ipFamilyPolicy")
    if spec.get("type") == "ExternalName":
        for field in ("ipFamilies", "ipFamilyPolicy"):
            if spec.get(field):
                yield f"spec.{field} is set: a service of type ExternalName has no addresses; leave it out"
    for index, family in enumerate(families):
        if family not in IP_FAMILIES:
            yield f"spec.ipFamilies[{index}] is {family!r}: it is one of {', '.join(IP_FAMILIES)}; correct it"
        elif family in families[:index]:
            yield f"spec.ipFamilies names {family} twice: each family occurs once; take one out"
    if len(families) > len(IP_FAMILIES):
        yield f"spec.ipFamilies has {len(families)} entries: there are {len(IP_FAMILIES)} families; take some out"
    if policy is not None and policy not in IP_FAMILY_POLICIES:
        yield f"spec.ipFamilyPolicy is {policy!r}: it is one of {', '.join(IP_FAMILY_POLICIES)}; correct it"


def _is_address(text: object) -> bool:
    """Say whether Kubernetes takes the text; newer releases also want it canonical, which their dry run says."""
    if not isinstance(text, str) or "%" in text:  # no zones
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_cidr(text: str) -> bool:
    """Say whether Go's ParseCIDR takes the text: host bits may be set, but the length is a number of bits."""
    address, _, bits = text.partition("/")
    if not _is_address(address) or not (bits.isascii() and bits.isdigit()):
        return False
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
