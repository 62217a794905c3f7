/** What was recognised in a graph that somebody else exported: shown before it is opened, and whenever one wants to see it. */
import { defineStore } from 'pinia'
import { shallowRef } from 'vue'
import type { OnnxReport } from '../../preload/onnx-report'

export interface ShownReport {
  /** What a person calls the model. */
  name: string
  report: OnnxReport
  /** Whether it is a question: open it or not. */
  asks: boolean
}

export const useOnnxReport = defineStore('onnx-report', () => {
  const shown = shallowRef<ShownReport | null>(null)
  let answer: ((open: boolean) => void) | null = null

  function close(open: boolean): void {
    shown.value = null
    answer?.(open)
    answer = null
  }
  /** Shows a report and waits for what the person says; a question before it counts as declined. */
  function ask(name: string, report: OnnxReport): Promise<boolean> {
    close(false)
    shown.value = { name, report, asks: true }
    return new Promise((resolve) => (answer = resolve))
  }
  function show(name: string, report: OnnxReport): void {
    close(false)
    shown.value = { name, report, asks: false }
  }

  return { shown, ask, show, close }
})
