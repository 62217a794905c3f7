/** A data set that was dropped on the window, for what takes it: a form that is shown, else the Data view. */
import { defineStore } from 'pinia'
import { ref, shallowRef } from 'vue'

/** By its name; a folder is a data set only where a view expects one. */
export const isDataFile = (path: string): boolean =>
  /\.(jsonl|ndjson|csv|tsv|parquet|arrow|txt|md)$/i.test(path)

/** What only a model is called. */
export const isModelFile = (path: string): boolean => /\.(safetensors|gguf|onnx)$/i.test(path)

export interface DataTaker {
  /** What the data set becomes there: "the probe’s examples". */
  as: string
  take: (path: string) => void
}

export const useDroppedData = defineStore('dropped data', () => {
  /** Where it lies, for the Data view; null once it is taken. */
  const path = ref<string | null>(null)
  /** The form that is in sight and would take a data file; null where there is none. */
  const taker = shallowRef<DataTaker | null>(null)
  return { path, taker }
})
