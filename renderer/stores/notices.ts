/** Things the person must be told: errors with their code, sentence and next step, and short confirmations. */
import { defineStore } from 'pinia'
import { shallowRef } from 'vue'
import type { PatchbayError } from '../../preload/errors'
import { asPatchbayError } from '../../preload/errors'

export interface Notice {
  id: number
  kind: 'error' | 'warning' | 'done'
  message: string
  code: string | null
  next: string | null
  /** File, field, offset: where it is wrong. */
  place: string | null
  /** What can be done about it with one click. */
  action?: NoticeAction
}

export interface NoticeAction {
  label: string
  run: () => void | Promise<void>
}

/** Oldest ones go when there are more. */
const most = 5

/** Where an error lies, in words; null where it does not say. */
export function placeOf(error: PatchbayError): string | null {
  const parts = [
    error.file,
    error.field === undefined ? undefined : `field ${error.field}`,
    error.offset === undefined ? undefined : `byte ${error.offset}`,
  ].filter((part) => part !== undefined)
  return parts.length === 0 ? null : parts.join(', ')
}

/** A notice as text for a report. */
export const noticeText = (notice: Pick<Notice, 'code' | 'message' | 'next' | 'place'>): string =>
  [
    notice.code === null ? notice.message : `${notice.code}: ${notice.message}`,
    notice.place === null ? null : `Where: ${notice.place}`,
    notice.next,
  ]
    .filter((line) => line !== null)
    .join('\n')

export const useNotices = defineStore('notices', () => {
  const notices = shallowRef<readonly Notice[]>([])
  let nextId = 0

  function add(notice: Omit<Notice, 'id'>): void {
    const same = notices.value.find((n) => n.message === notice.message && n.code === notice.code)
    if (same !== undefined) dismiss(same.id)
    notices.value = [...notices.value, { id: nextId++, ...notice }].slice(-most)
  }
  /** Shows an error; a cancellation is nobody's error and is not shown. */
  function report(thrown: unknown): void {
    const error = asPatchbayError(thrown)
    if (error.code === 'run.cancelled') return
    add({
      kind: 'error',
      message: error.message,
      code: error.code,
      next: error.next ?? null,
      place: placeOf(error),
    })
  }
  function warn(message: string): void {
    add({ kind: 'warning', message, code: null, next: null, place: null })
  }
  function done(message: string, action?: NoticeAction): void {
    add({ kind: 'done', message, code: null, next: null, place: null, action })
  }
  function dismiss(id: number): void {
    notices.value = notices.value.filter((notice) => notice.id !== id)
  }

  return { notices, report, warn, done, dismiss }
})
