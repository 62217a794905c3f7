/** A data set that was dropped on the window, for the view that takes it. */
import { defineStore } from 'pinia'
import { ref } from 'vue'

/** By its name; a folder is a data set only where a view expects one. */
export const isDataFile = (path: string): boolean =>
  /\.(jsonl|ndjson|csv|tsv|parquet|arrow|txt|md)$/i.test(path)

/** What only a model is called. */
export const isModelFile = (path: string): boolean => /\.(safetensors|gguf|onnx)$/i.test(path)

export const useDroppedData = defineStore('dropped data', () => {
  /** Where it lies; null once it is taken. */
  const path = ref<string | null>(null)
  return { path }
})
