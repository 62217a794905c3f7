/**
 * The Python program that loads an export. It reads names from `about.json`: nothing of the data is ever a part of a program.
 */
import type { CollectionExport } from '../../../preload/collections'
import type { ValueType } from './value-type'

const safetensorsLoader = (library: 'numpy' | 'torch') => ({
  needs: `${library} safetensors`,
  body: `from safetensors.${library} import load_file

tensors = load_file(folder / "values.safetensors")
for each in about["outputs"]:
    outputs[each["name"]] = rows_of(each, tensors[each["name"]], lambda part: tensors[each["name"] + part])
`,
})

/** `folder` is the export's; afterwards `outputs` has the arrays by the outputs' names. */
const loaders: Record<CollectionExport, { needs: string; body: string }> = {
  safetensors: safetensorsLoader('numpy'),
  npy: {
    needs: 'numpy',
    body: `import numpy as np

for each in about["outputs"]:
    load = lambda part: np.load(folder / (each["file"] + part + ".npy"), mmap_mode="r")
    outputs[each["name"]] = rows_of(each, load(""), load)
`,
  },
  npz: {
    needs: 'numpy',
    body: `import numpy as np

arrays = np.load(folder / "values.npz")
for each in about["outputs"]:
    load = lambda part: arrays[each["file"] + part]
    outputs[each["name"]] = rows_of(each, load(""), load)
`,
  },
  zarr: {
    needs: 'numpy zarr>=3',
    body: `import zarr

group = zarr.open_group(folder / "values.zarr", mode="r")
for each in about["outputs"]:
    load = lambda part: group[each["file"] + part][:]
    outputs[each["name"]] = rows_of(each, load(""), load)
`,
  },
  parquet: {
    needs: 'numpy pyarrow',
    body: `import pyarrow.parquet as pq

table = pq.read_table(folder / "rows.parquet")
for each in about["outputs"]:
    outputs[each["name"]] = lists_of(each, table)
`,
  },
  arrow: {
    needs: 'numpy pyarrow',
    body: `import pyarrow.dataset as ds

table = ds.dataset(folder / "rows.arrow", format="arrow").to_table()
for each in about["outputs"]:
    outputs[each["name"]] = lists_of(each, table)
`,
  },
  csv: {
    needs: 'pandas',
    body: `import pandas as pd

# An apostrophe before a text that a spreadsheet would take for a formula is not part of it.
table = pd.read_csv(folder / "rows.csv", keep_default_na=False)
for each in about["outputs"]:
    outputs[each["name"]] = pd.read_csv(folder / (each["file"] + ".csv"), keep_default_na=False, na_values=["nan"])
`,
  },
}

/** A row's array out of one array for all. */
const rowsOf = `
def rows_of(each, data, part):
    """An array [row, ...] where rows have one size, else a list of arrays; NaN or empty where a row has no values."""
    if each["kind"] == "stacked":
        return data
    start = part("+offsets")
    pieces = [data[start[i] : start[i + 1]] for i in range(len(start) - 1)]
    if each["kind"] == "ragged":
        return pieces
    return [piece.reshape(shape) for piece, shape in zip(pieces, part("+shapes").tolist())]

`

/** A row's array out of lists of numbers. */
const listsOf = `
import numpy as np


def lists_of(each, table):
    """A list of arrays, None where a row has no values."""
    lists = [None if x is None else np.asarray(x, each["dtype"]) for x in table.column(each["column"]).to_pylist()]
    if each["kind"] == "flat":
        shapes = table.column(each["shapes"]).to_pylist()
    else:
        shapes = [[-1 if size is None else size for size in each["sizes"]]] * len(lists)
    return [None if x is None else x.reshape(shape) for x, shape in zip(lists, shapes)]

`

const helper: Record<CollectionExport, string> = {
  safetensors: rowsOf,
  npy: rowsOf,
  npz: rowsOf,
  zarr: rowsOf,
  parquet: listsOf,
  arrow: listsOf,
  csv: '',
}

/** Whether rows lie beside the values in `rows.jsonl`, and not in the table. */
export const hasRowsFile = (format: CollectionExport): boolean =>
  format === 'safetensors' || format === 'npy' || format === 'npz' || format === 'zarr'

/**
 * The program.
 * @param types of the outputs' numbers
 * @param folder where the export is; beside the program itself unless given
 */
export function pythonLoader(
  format: CollectionExport,
  { types, folder }: { types: readonly ValueType[]; folder?: string },
): string {
  // NumPy has no bfloat16, PyTorch has.
  const { needs, body } = types.includes('bfloat16') ? safetensorsLoader('torch') : loaders[format]
  const place =
    folder === undefined ? 'pathlib.Path(__file__).parent' : `pathlib.Path(${JSON.stringify(folder)})`
  const rows = hasRowsFile(format)
    ? 'rows = [json.loads(line) for line in open(folder / "rows.jsonl", encoding="utf-8")]  # as the values: label, text, tokens, ...\n'
    : ''
  const table = hasRowsFile(format) ? '' : '# table: a row of the collection a row\n'
  return `# Loads what Patchbay exported. Needs: pip install ${needs}
import json
import pathlib
${helper[format]}
folder = ${place}
about = json.loads((folder / "about.json").read_text("utf-8"))  # model, data set, outputs
${rows}outputs = {}  # by output
${table}
${body}`
}
