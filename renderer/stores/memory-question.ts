/** A model that will not fit into memory as it was asked for: what fits instead is asked before anything is loaded. */
import { defineStore } from 'pinia'
import { shallowRef } from 'vue'
import type { ModelForecast } from '../../preload/forecast'
import type { Choice } from './choice-memory'

export interface MemoryQuestion {
  /** What a person calls the model. */
  name: string
  asked: Choice
  forecast: ModelForecast
}

export const useMemoryQuestion = defineStore('memory-question', () => {
  const shown = shallowRef<MemoryQuestion | null>(null)
  let answer: ((choice: Choice | null) => void) | null = null

  /** Ends the question: with the way to open the model, or null to leave it. */
  function close(choice: Choice | null): void {
    shown.value = null
    answer?.(choice)
    answer = null
  }
  /** Asks, and waits for what the person says; a question before it counts as declined. */
  function ask(question: MemoryQuestion): Promise<Choice | null> {
    close(null)
    shown.value = question
    return new Promise((resolve) => (answer = resolve))
  }

  return { shown, ask, close }
})
