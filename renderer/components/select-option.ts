/** A choice of a SelectField. */
export interface SelectOption<V extends string> {
  value: V
  label: string
  /** A second line that explains it. */
  hint?: string
  disabled?: boolean
}
