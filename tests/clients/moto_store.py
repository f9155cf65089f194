"""moto_store.py STORE_CONTRACT: the S3 client against moto, a server that was not written here.

Run by run_in_venv.sh, which provides moto."""
import os
import subprocess
import sys

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"
for name in list(os.environ):
    if name.startswith("AWS_"):
        del os.environ[name]
os.environ.update(
    AWS_ENDPOINT_URL=url,
    AWS_ACCESS_KEY_ID="AKIDTEST",
    AWS_SECRET_ACCESS_KEY="secret",
    AWS_REGION="us-east-1",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_SHARED_CREDENTIALS_FILE="/nonexistent",
    AWS_CONFIG_FILE="/nonexistent",
)
boto3.client("s3", endpoint_url=url).create_bucket(Bucket="ebb-test")
status = subprocess.run([sys.argv[1], "s3://ebb-test/some/pre fix"], timeout=100).returncode
server.stop()
sys.exit(status)
