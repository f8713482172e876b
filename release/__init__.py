"""What a release consists of beside the code: a version, documents that name it, a site of them."""
