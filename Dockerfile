# The registry as an image (docs/operations.rst, "In a container"):
#
#     make image, or
#     docker build --tag registry-swift .
#
# The base can be any image with Python 3.10 or newer as python3, also Debian's own Python.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
# Debian's Python lacks ensurepip, which installs pip into a virtualenv. The Python of python:* has it.
RUN python3 -c 'import ensurepip' 2>/dev/null \
 || (apt-get update && apt-get install --yes --no-install-recommends python3-venv)
# uv and not pip: uv can leave out a requirement that the registry does not use. The versions are those that the tests ran with.
RUN python3 -m venv /uv \
 && /uv/bin/pip install --no-cache-dir 'uv>=0.13,<1' \
 && python3 -m venv --without-pip /opt/registry-swift
COPY . /src
# No bytecode: with it, each start took 0.35 seconds instead of 0.7, and the image was 6 MB larger. The health check does not need it.
RUN /uv/bin/uv pip install --no-cache --python /opt/registry-swift/bin/python3 \
        --constraints /src/deploy/constraints.txt --excludes /src/deploy/excluded.txt '/src[registry]' \
 && find /opt/registry-swift -depth -type d \( -name tests -o -name testing \) -exec rm -r {} + \
 && find /opt/registry-swift -type f -regex '.*\.\(c\|cpp\|h\|hpp\|pyx\|pxd\|pxi\)' -delete

FROM ${BASE}
COPY --from=build /opt/registry-swift /opt/registry-swift
# A number, so that Kubernetes can verify that it is not root.
USER 10001:10001
ENV PATH=/opt/registry-swift/bin:${PATH} REGISTRY_HOST=0.0.0.0
EXPOSE 5000
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["python3", "-m", "docker_registry.v2.http.health"]
ENTRYPOINT ["registry-swift"]
CMD ["serve"]
LABEL org.opencontainers.image.title="registry-swift" \
      org.opencontainers.image.description="A Docker and OCI registry whose only state is an OpenStack Swift container" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.3.0"
