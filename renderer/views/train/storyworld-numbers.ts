/** How much of storyworld a model in training knows: accuracy by family, told with the job's progress and its result. */
import type { JobRecord } from '../../../preload/jobs'
import { accuracyMark, storyworldResult, type StoryworldResult } from '../../../preload/training'

export const isAccuracy = (name: string): boolean => name.startsWith(accuracyMark)

/** What came out of a job that trained storyworld; null for others. */
export function trainedOf({ result }: JobRecord): StoryworldResult | null {
  const parsed = storyworldResult.safeParse(result)
  return parsed.success ? parsed.data : null
}

export interface FamilyAccuracy {
  family: string
  accuracy: number
}

/** The last evaluation, by family; none before the first. */
export function accuraciesOf(job: JobRecord): FamilyAccuracy[] {
  const final = Object.entries(trainedOf(job)?.accuracy ?? {})
  const told = Object.entries(job.progress?.numbers ?? {}).flatMap(([name, value]) =>
    isAccuracy(name) ? [[name.slice(accuracyMark.length), value] as const] : [],
  )
  return (final.length > 0 ? final : told).map(([family, accuracy]) => ({ family, accuracy }))
}
