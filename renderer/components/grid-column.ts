/** A column of a DataGrid. */
export interface GridColumn {
  key: string
  title: string
  /** In units of the text size; a column with `grow` takes what is left. */
  width: number
  grow?: boolean
  numeric?: boolean
  sortable?: boolean
}
