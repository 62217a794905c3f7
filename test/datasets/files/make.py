"""Writes the data files beside it with pyarrow: python make.py. What is in them is written out in the tests."""
import datetime
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

rows = 300
table = pa.table({
    "text": pa.array([f"row {i} – żółć {'x' * (i % 50)}" for i in range(rows)]),
    "label": pa.array([["neg", "pos"][i % 2] for i in range(rows)]).dictionary_encode(),
    "id": pa.array([2**60 + i if i % 2 else i for i in range(rows)], pa.int64()),
    "score": pa.array([None if i % 7 == 0 else i / 4 for i in range(rows)], pa.float32()),
    "flag": pa.array([i % 3 == 0 for i in range(rows)]),
    "messages": pa.array([[{"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": "a"}] for i in range(rows)]),
    "tokens": pa.array([list(range(i % 5)) for i in range(rows)], pa.list_(pa.int32())),
    "image": pa.array([{"bytes": b"\x89PNG\xff\x00", "path": f"{i}.png"} for i in range(rows)]),
    "when": pa.array([datetime.datetime(2024, 1, 1) + datetime.timedelta(hours=i) for i in range(rows)], pa.timestamp("us")),
})
for codec in ["snappy", "zstd", "gzip", "none"]:
    pq.write_table(table, f"{codec}.parquet", compression=codec, row_group_size=128)
pq.write_table(table, "pages.parquet", compression="zstd", data_page_size=512, data_page_version="2.0", write_page_index=True)
# Categories are encoded with dictionaries, which `datasets` has none of.
plain = table.set_column(1, "label", table["label"].cast(pa.string()))
with pa.ipc.new_stream("stream.arrow", plain.schema) as writer:
    writer.write_table(plain, max_chunksize=100)
feather.write_feather(plain, "plain.feather", compression="uncompressed")
feather.write_feather(table.slice(0, 3), "categories.feather", compression="uncompressed")
