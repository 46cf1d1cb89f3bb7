# Two images: `platform` (webserver, daemon, code server) and `mlflow` (the tracking server).

FROM python:3.11-slim-bookworm AS base
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
RUN useradd --create-home --uid 1000 hf
WORKDIR /opt/hf

FROM base AS mlflow
RUN pip install mlflow==3.17.2 psycopg2-binary==2.9.13 boto3==1.44.5
USER hf
EXPOSE 5000

FROM base AS platform
# LightGBM's wheel needs the OpenMP runtime of the system.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
COPY requirements-production.lock .
RUN pip install --require-hashes -r requirements-production.lock
COPY pyproject.toml README.md LICENSE ./
COPY hf_assets hf_assets
COPY hf_plugins hf_plugins
COPY hf_resources hf_resources
RUN pip install "setuptools>=77" && pip install --no-build-isolation --no-deps -e .
COPY deploy/dagster-production.yaml /var/lib/hf/dagster/dagster.yaml
COPY deploy/workspace-production.yaml workspace.yaml
ENV HF_HOME=/var/lib/hf DAGSTER_HOME=/var/lib/hf/dagster
RUN mkdir -p /var/lib/hf/compute_logs && chown -R hf:hf /var/lib/hf
USER hf
