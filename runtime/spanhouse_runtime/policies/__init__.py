"""What policies are made of beside their rules: resources, grants, their files' checks and tests, other engines."""
