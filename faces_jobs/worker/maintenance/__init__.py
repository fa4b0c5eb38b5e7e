"""The sweep process: rings again, reconciles, sends webhooks and tidies up."""
