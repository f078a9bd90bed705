"""Encode a corpus of any size: shards of codes with a manifest, on one machine or on a Ray cluster."""

from unbraid.corpus.job import Encoded, encode_corpus
from unbraid.corpus.manifest import read_manifest, read_shards

__all__ = ["Encoded", "encode_corpus", "read_manifest", "read_shards"]
