-- Runs once, on an empty volume. POSTGRES_DB makes Dagster's own database.
CREATE DATABASE hf_catalog;
CREATE DATABASE mlflow;
