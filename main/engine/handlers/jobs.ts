/** Jobs: starting, following and stopping them. */
import type { jobCalls } from '../../../preload/jobs'
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'

export const jobHandlers = ({ jobs }: Engine): HandlerPart<keyof typeof jobCalls> => ({
  'jobs.list': () => jobs.list(),
  'jobs.start': ({ kind, input }) => jobs.start(kind, input),
  'jobs.cancel': ({ id }) => jobs.change('cancel', id),
  'jobs.pause': ({ id }) => jobs.change('pause', id),
  'jobs.resume': ({ id }) => jobs.change('resume', id),
  'jobs.remove': async ({ id }) => {
    await jobs.remove(id)
    return {}
  },
  'jobs.watch': ({ id }, { signal, progress }) => jobs.watch(id, signal, progress),
})
