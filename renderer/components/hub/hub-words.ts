/** What the hub says, in words that can be shown: sizes, times, licences. Everything in it was written by strangers. */
import type { DownloadPlan, DownloadProgress, WeightChoice } from '../../../preload/hub'
import { displayText } from '../../../preload/token-text'
import { formatBytes, formatNumber } from '../../charts/numbers'

/** A stranger's text on one line, nothing in it invisible. */
export const plain = (text: string, longest = 120): string => displayText(text, { spaces: false, longest })

/** 12,345,678 → "12.3 M" */
export function formatMany(count: number): string {
  const unit = (['M', 'k'] as const).find((each) => count >= { M: 1e6, k: 1e3 }[each])
  return unit === undefined ? String(count) : `${formatNumber(count / { M: 1e6, k: 1e3 }[unit], 3)} ${unit}`
}

/** "2024-11-05" of an ISO time; the day is what one wants to know. */
export const dayOf = (iso: string): string => iso.slice(0, 10)

/** 95 → "1 min 35 s" */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds))
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)]
  if (hours > 0) return minutes === 0 ? `${hours} h` : `${hours} h ${minutes} min`
  return minutes === 0 ? `${whole} s` : minutes >= 10 ? `${minutes} min` : `${minutes} min ${whole % 60} s`
}

/** "apache-2.0", or by its own name, with where it can be read. */
export function licenceText({ id, name, link }: DownloadPlan['licence']): string {
  const named = id === null || id === 'other' ? (name ?? id) : id
  if (named === null)
    return 'The repository names none: ask its owner before you use it for more than looking.'
  return link === null ? plain(named) : `${plain(named)} (${plain(link)})`
}

export const fileCount = (count: number): string => (count === 1 ? '1 file' : `${count} files`)

/** "GGUF Q4_K_M · 105 MiB · 1 file" */
export const choiceText = ({ format, quantisation, bytes, files }: WeightChoice): string =>
  [
    quantisation === null ? formatNames[format] : `${formatNames[format]} ${plain(quantisation, 20)}`,
    formatBytes(bytes),
    fileCount(files),
  ].join(' · ')

export const formatNames = { safetensors: 'safetensors', gguf: 'GGUF' } as const

/** What there is to be fetched, and what is here already. */
export function fetchText({ bytesToFetch, totalBytes }: DownloadPlan): string {
  if (bytesToFetch === 0) return 'Everything is on this machine already.'
  const all = formatBytes(totalBytes)
  return bytesToFetch === totalBytes
    ? `${all} will be downloaded.`
    : `${formatBytes(bytesToFetch)} of ${all} will be downloaded; the rest is on this machine.`
}

const phases: Record<DownloadProgress['phase'], string> = {
  waiting: 'Waiting for another program that fetches the same file, or for a busy server',
  downloading: 'Downloading',
  verifying: 'Checking the sha256',
  finishing: 'Finishing',
}

/** What is being done, to which file. */
export const phaseText = ({ phase, file }: DownloadProgress): string =>
  file === null ? phases[phase] : `${phases[phase]}: ${plain(file)}`

/** "120 MiB of 271 MiB · 4.2 MiB/s · 35 s left" */
export const progressText = ({ done, total, bytesPerSecond, etaSeconds }: DownloadProgress): string =>
  [
    `${formatBytes(done)} of ${formatBytes(total)}`,
    ...(bytesPerSecond === null ? [] : [`${formatBytes(bytesPerSecond)}/s`]),
    ...(etaSeconds === null ? [] : [`${formatSeconds(etaSeconds)} left`]),
  ].join(' · ')
