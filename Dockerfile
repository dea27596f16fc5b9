# syntax=docker/dockerfile:1
# One image, for amd64 and arm64, with nothing in it but the bundle (plugin/bundle): no shell, no package manager, no C
# library but the bundle's own. As an init container of Velero's pod it installs itself into the volume at /target; with
# the argument `serve` it is the sidecar. The bundled Python is the base image's, the highest that the tests run on
# (HIGHEST_PYTHON in the Makefile).
#
# The digest is that of the index for all architectures. To renew it, take the one that
# `docker buildx imagetools inspect python:3.13-slim-trixie` shows, and the tag that it stands for.
ARG PYTHON=python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
FROM ${PYTHON} AS build
# What is in the bundle is installed here, so here an attestation looks for it (docker buildx build --sbom=true).
ARG BUILDKIT_SBOM_SCAN_STAGE=true
# Where a proxy on the way to PyPI has a CA of its own, mount a bundle with it over this file.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
ENV UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/opt/vmservice
WORKDIR /src
COPY plugin/bundle/build.txt plugin/bundle/build.txt
RUN python3 -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --only-binary :all: --require-hashes --requirement plugin/bundle/build.txt
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN /opt/build/bin/uv sync --frozen --no-build --no-default-groups --extra vcenter --no-install-project \
    --python "$(command -v python3)" \
 && UV_PROJECT_ENVIRONMENT=/opt/launcher /opt/build/bin/uv sync --frozen --no-build --only-group launcher \
    --python "$(command -v python3)"
COPY plugin plugin
# The project's wheel is built by the pinned back end itself: no isolated environment, into which anything newer could get.
RUN /opt/launcher/bin/python plugin/launcher/build.py \
 && /opt/build/bin/hatchling build --target wheel --directory /opt/wheel \
 && /opt/build/bin/uv pip install --python /opt/vmservice --no-deps --no-index /opt/wheel/*.whl \
 && /opt/vmservice/bin/python plugin/bundle/build.py --into /image/plugin \
 && /opt/build/bin/uv export --quiet --frozen --no-default-groups --extra vcenter --format cyclonedx1.5 \
    --output-file /opt/export.json \
 && /opt/vmservice/bin/python plugin/bundle/sbom.py /opt/export.json > /image/sbom.cdx.json \
 # Outside of Velero's plugins directory the loader may carry the bit: the image needs no executable file in memory.
 && chmod 0755 /image/plugin/*.runtime/*/loader \
 && mkdir -p /image/usr/local/bin /image/tmp && chmod 1777 /image/tmp \
 && ln -s /plugin/velero-plugin-for-vmservice /image/usr/local/bin/velero-vmservice

FROM scratch
COPY --from=build /image /
COPY LICENSE /LICENSE
ARG REVISION=unknown
LABEL org.opencontainers.image.title="velero-plugin-for-vmservice" \
      org.opencontainers.image.description="Backs up and restores the application around the VMs of vSphere VM Service" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/usr/local/bin HOME=/tmp
USER 65532:65532
ENTRYPOINT ["velero-vmservice"]
CMD ["install", "/target"]
