/**
 * Colour maps of the charts: viridis and cividis (matplotlib, CC0) for quantities that grow from nothing, Crameri's vik
 * (light theme) and berlin (dark theme; Crameri 2018, MIT) for signed ones. All are perceptually uniform and can be read
 * by people with colour-vision deficiencies. Stored as 33 evenly spaced samples, interpolated in sRGB (at most 5/255 off).
 */
export const colourMapNames = ['viridis', 'cividis', 'vik', 'berlin'] as const
export type ColourMapName = (typeof colourMapNames)[number]

const samples: Record<ColourMapName, string> = {
  viridis:
    '440154 470d60 48186a 482374 472d7b 453681 424086 3f4989 3b528b 375a8d 33638d 2f6a8e 2c728e 297a8e 26818e 23898e ' +
    '21908c 1f988b 1f9f88 21a685 28ae80 31b57b 3ebc74 4cc26c 5dc963 6ece58 82d34c 96d83f abdc32 c0df24 d5e21a eae51a fde725',
  cividis:
    '00224e 00285b 002e6a 043371 1a386f 273e6e 32436d 3b496c 434e6c 4b546c 52596d 5a5f6e 61656f 686a71 6f7073 757676 ' +
    '7c7b78 848179 8b8778 938d78 9b9376 a39a75 aba072 b3a670 bbad6c c3b469 ccba64 d4c15f ddc958 e6d051 efd748 f8df3c fee838',
  vik:
    '001261 021f69 022b71 023779 034481 045089 0c5e92 1b6d9b 2f7ca6 478db1 609dbc 79adc7 92bdd2 acccdc c5dbe5 dce5e9 ' +
    'e8e6e5 eedacf e9cbb9 e2bba4 dcab8f d59c7b cf8e68 c97f55 c37243 bc6331 b3531f a5400e 932e06 832106 741506 660a07 590008',
  berlin:
    '9eb0ff 8caef6 79abed 65a7e2 529fd3 4194c1 3686ad 2e779a 286886 235a74 1d4b61 183e50 14313f 11252f 111a20 121214 ' +
    '190c09 210b03 2a0e01 351000 401201 4c1602 5a1c07 6a2610 7c331d 8d412c 9c503d ac5e4f bc6e61 cc7d74 dd8d86 ee9d9a ffadad',
}

/** Odd, so that zero on a signed scale has a colour of its own: the neutral one in the middle. */
const entries = 257
const tables = new Map<ColourMapName, Uint8ClampedArray>()

/** The map as [257, 3] sRGB bytes, lowest value first. */
export function colourTable(name: ColourMapName): Uint8ClampedArray {
  const known = tables.get(name)
  if (known !== undefined) return known
  const points = samples[name]
    .split(' ')
    .map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)))
  const table = new Uint8ClampedArray(entries * 3)
  for (let i = 0; i < entries; i++) {
    const place = (i / (entries - 1)) * (points.length - 1)
    const low = Math.min(Math.floor(place), points.length - 2)
    for (let c = 0; c < 3; c++)
      table[3 * i + c] = points[low][c] + (place - low) * (points[low + 1][c] - points[low][c])
  }
  tables.set(name, table)
  return table
}

/** Index into `colourTable` of a fraction; fractions outside 0…1 take the nearest end. */
export const tableIndex = (fraction: number): number =>
  Math.round(Math.min(1, Math.max(0, fraction)) * (entries - 1))

/** The colour at a fraction of the map, as `#rrggbb`. */
export function colourAt(name: ColourMapName, fraction: number): string {
  const at = 3 * tableIndex(fraction)
  const bytes = colourTable(name).subarray(at, at + 3)
  return '#' + Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** `count` evenly spaced colours, lowest first: for gradients. */
export const colourStops = (name: ColourMapName, count = 33): string[] =>
  Array.from({ length: count }, (_, i) => colourAt(name, i / (count - 1)))

/** Black or white, whichever has the higher contrast (WCAG 2 relative luminance) on `#rrggbb`. */
export function inkOn(colour: string): '#000000' | '#ffffff' {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const c = parseInt(colour.slice(at, at + 2), 16) / 255
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  })
  // Where the contrasts with black, (L + 0.05) / 0.05, and with white, 1.05 / (L + 0.05), are equal.
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > Math.sqrt(1.05 * 0.05) - 0.05 ? '#000000' : '#ffffff'
}
