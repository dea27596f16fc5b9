# syntax=docker/dockerfile:1
# The sidecar's image, for amd64 and arm64, on the highest Python that the tests run on (HIGHEST_PYTHON in the Makefile).
# Bytecode is compiled at build time: a cold start without it is four times as slow.
FROM python:3.13-slim AS build
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/opt/vmservice
RUN pip install --no-cache-dir uv
WORKDIR /src
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-default-groups --extra vcenter --group launcher --no-install-project
COPY plugin plugin
RUN /opt/vmservice/bin/python plugin/launcher/build.py \
 && uv sync --frozen --no-default-groups --extra vcenter --no-editable

FROM python:3.13-slim
COPY --from=build /opt/vmservice /opt/vmservice
ENV PATH=/opt/vmservice/bin:$PATH PYTHONUNBUFFERED=1 GRPC_VERBOSITY=ERROR
USER 65532:65532
ENTRYPOINT ["velero-vmservice"]
CMD ["serve"]
