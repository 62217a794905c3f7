/** What a queue of jobs can do, wherever it runs them: in this process, or on other machines. */
import type { JobRecord } from '../../preload/jobs'

export interface JobQueue {
  /** @throws PatchbayError `input.invalid` where the kind or its input is not understood */
  submit(kind: string, input: unknown): Promise<JobRecord>
  /** All jobs, newest first. */
  list(): Promise<JobRecord[]>
  get(id: string): Promise<JobRecord>
  /** A running job stops behind its next checkpoint, a waiting one where it is. */
  pause(id: string): Promise<void>
  /**
   * Queues a paused or failed job again, or one that a process left that is gone. @throws PatchbayError `input.invalid` in any
   * other state, or where another process works on it
   */
  resume(id: string): Promise<void>
  /** Stops a job for good; what it kept stays until it is removed. */
  cancel(id: string): Promise<void>
  /** Removes a job that is not running, with its folder. */
  remove(id: string): Promise<void>
  /** Calls `listener` with each changed record; returns how to stop that. */
  onChange(listener: (record: JobRecord) => void): () => void
  /** Stops working; what ran goes on when a queue is opened on the same jobs again. */
  close(): Promise<void>
}
