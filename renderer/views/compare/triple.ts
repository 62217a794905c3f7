/** Which of left, difference and right are shown. */
export const triple = [
  { value: 'all', label: 'Side by side' },
  { value: 'left', label: 'Left' },
  { value: 'difference', label: 'Difference' },
  { value: 'right', label: 'Right' },
] as const
export type Shown = (typeof triple)[number]['value']
