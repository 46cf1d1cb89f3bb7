#!/bin/sh
# An S3-compatible server with one account, from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
set -eu
umask 077
cat > /tmp/s3.json <<JSON
{"identities": [{"name": "hf",
  "credentials": [{"accessKey": "$AWS_ACCESS_KEY_ID", "secretKey": "$AWS_SECRET_ACCESS_KEY"}],
  "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}
JSON
# Telemetry is on by default; the two ports set to 0 belong to services that are not used here.
exec weed -logtostderr=true server -dir=/data -ip=s3 -ip.bind=0.0.0.0 \
  -master.telemetry=false -master.volumeSizeLimitMB=1024 -volume.max=0 -filer \
  -s3 -s3.port=8333 -s3.port.iceberg=0 -s3.port.lance=0 -s3.config=/tmp/s3.json
