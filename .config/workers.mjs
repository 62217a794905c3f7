/** Scripts that run in worker threads: bundle in dist/engine (and, for tests, dist/test) → source. */
export const workers = {
  'text-worker': 'main/models/tokenizer/worker.ts',
  'sql-worker': 'main/collections/table/worker.ts',
  'umap-worker': 'main/collections/maps/umap-worker.ts',
}
