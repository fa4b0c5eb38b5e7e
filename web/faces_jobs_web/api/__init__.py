"""The HTTP API: one file per resource, and the OpenAPI document generated from them."""
