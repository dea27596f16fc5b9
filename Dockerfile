# syntax=docker/dockerfile:1
# One image, for amd64 and arm64, with nothing in it but the bundle (plugin/bundle): no shell, no package manager, no C
# library but the bundle's own. As an init container of Velero's pod it installs itself into the volume at /target; with
# the argument `serve` it is the sidecar. The bundled Python is the base image's, the highest that the tests run on
# (HIGHEST_PYTHON in the Makefile).
ARG PYTHON=python:3.13-slim
FROM ${PYTHON} AS build
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/opt/vmservice
WORKDIR /src
COPY plugin/bundle/uv.txt plugin/bundle/uv.txt
RUN pip install --no-cache-dir --require-hashes --requirement plugin/bundle/uv.txt
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-default-groups --extra vcenter --group launcher --no-install-project
COPY plugin plugin
RUN /opt/vmservice/bin/python plugin/launcher/build.py \
 && uv sync --frozen --no-default-groups --extra vcenter --no-editable \
 && /opt/vmservice/bin/python plugin/bundle/build.py --into /image/plugin \
 # Outside of Velero's plugins directory the loader may carry the bit: the image needs no executable file in memory.
 && chmod 0755 /image/plugin/*.runtime/*/loader \
 && mkdir -p /image/usr/local/bin /image/tmp && chmod 1777 /image/tmp \
 && ln -s /plugin/velero-plugin-for-vmservice /image/usr/local/bin/velero-vmservice

FROM scratch
COPY --from=build /image /
COPY LICENSE /LICENSE
LABEL org.opencontainers.image.title="velero-plugin-for-vmservice" \
      org.opencontainers.image.description="Backs up and restores the application around the VMs of vSphere VM Service" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/usr/local/bin HOME=/tmp
USER 65532:65532
ENTRYPOINT ["velero-vmservice"]
CMD ["install", "/target"]
