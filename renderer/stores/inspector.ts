/** What the inspector explains: the views say what is selected, the inspector shows it and offers to copy and export. */
import { defineStore } from 'pinia'
import { computed, shallowReactive, shallowRef } from 'vue'
import type { Evidence } from '../../preload/views'
import type { ViewName } from '../../preload/shell'

export interface InspectorRow {
  label: string
  value: string
  /** Tokens, names and numbers are set in monospace. */
  mono?: boolean
}

export interface ExportAction {
  id: string
  /** "PNG picture", "CSV table", … */
  label: string
  run: () => void | Promise<void>
}

export interface InspectorSubject {
  /** What is selected, in a few words: "Logit lens · block 3 input · position 7". */
  title: string
  /** Hook point in TransformerLens' spelling. */
  hook?: string
  /** Shape of the whole activation, symbolic or with numbers. */
  shape?: string
  /** Label and value of the selected thing: token, position, probability, … */
  rows: InspectorRow[]
  /** How it was computed, with the method's source; one or two sentences. */
  explanation: string
  /** The request behind it and what it was computed on. */
  evidence?: Evidence
  exports?: ExportAction[]
}

export const useInspector = defineStore('inspector', () => {
  // Written without being read: views do that from effects, and two effects that read would wake each other for ever.
  const subjects = shallowReactive<Partial<Record<ViewName, InspectorSubject>>>({})
  const view = shallowRef<ViewName>('prompt')
  const subject = computed<InspectorSubject | null>(() => subjects[view.value] ?? null)

  /** Says what is selected in a view; null for nothing. */
  function inspect(of: ViewName, next: InspectorSubject | null): void {
    subjects[of] = next ?? undefined
  }
  function follow(next: ViewName): void {
    view.value = next
  }

  return { subject, inspect, follow }
})
