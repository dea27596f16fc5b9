"""The plugin's metrics as Prometheus gets them: scraped over HTTP and parsed by Prometheus' own client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client.samples import Sample


@dataclass(frozen=True)
class Scrape:
    """The samples of one scrape."""

    samples: tuple[Sample, ...]

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples that bear the labels, 0 where there is none."""
        return sum(sample.value for sample in self.samples if _is_of(sample, name, labels))

    def has(self, name: str, **labels: str) -> bool:
        """Say whether there is such a sample."""
        return any(_is_of(sample, name, labels) for sample in self.samples)


def scrape(host: str, port: int) -> Scrape:
    """Ask the endpoint as Prometheus does."""
    with urlopen(f"http://{host}:{port}/metrics", timeout=30) as answer:
        return parsed(answer.read().decode())


def parsed(text: str) -> Scrape:
    """Parse what the endpoint answers."""
    return Scrape(tuple(sample for family in text_string_to_metric_families(text) for sample in family.samples))


def _is_of(sample: Sample, name: str, labels: Mapping[str, str]) -> bool:
    return sample.name == name and labels.items() <= sample.labels.items()
