"""Settings of the whole test run: no test may reach for the network."""

import os

# Read by huggingface_hub when it is first imported, which is after this file.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
