/** `strftime_now(format)` of chat templates: Python's directives, English names, as transformers gives it. */

const months = [
  ['January', 'February', 'March', 'April', 'May', 'June'],
  ['July', 'August', 'September', 'October', 'November', 'December'],
].flat()
const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']

const two = (value: number): string => String(value).padStart(2, '0')
const twelve = (hour: number): number => (hour % 12 === 0 ? 12 : hour % 12)

function dayOfYear(date: Date): number {
  const midnight = new Date(date.getFullYear(), date.getMonth(), date.getDate())
  return Math.round((midnight.getTime() - new Date(date.getFullYear(), 0, 1).getTime()) / 86_400_000) + 1
}

const directives: Readonly<Record<string, (date: Date) => string>> = {
  a: (date) => days[date.getDay()].slice(0, 3),
  A: (date) => days[date.getDay()],
  b: (date) => months[date.getMonth()].slice(0, 3),
  B: (date) => months[date.getMonth()],
  d: (date) => two(date.getDate()),
  e: (date) => String(date.getDate()).padStart(2, ' '),
  F: (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`,
  H: (date) => two(date.getHours()),
  I: (date) => two(twelve(date.getHours())),
  j: (date) => String(dayOfYear(date)).padStart(3, '0'),
  m: (date) => two(date.getMonth() + 1),
  M: (date) => two(date.getMinutes()),
  p: (date) => (date.getHours() < 12 ? 'AM' : 'PM'),
  S: (date) => two(date.getSeconds()),
  T: (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`,
  w: (date) => String(date.getDay()),
  y: (date) => two(date.getFullYear() % 100),
  Y: (date) => String(date.getFullYear()),
  '%': () => '%',
}

/** @param format Python's; "%-d" leaves out leading zeros; an unknown directive stays as it is */
export function strftime(date: Date, format: string): string {
  return format.replace(/%(-?)([a-zA-Z%])/g, (whole, bare: string, name: string) => {
    const directive = Object.hasOwn(directives, name) ? directives[name] : undefined
    if (directive === undefined) return whole
    const value = directive(date)
    return bare === '' ? value : value.replace(/^[0 ]+(?=.)/, '')
  })
}
