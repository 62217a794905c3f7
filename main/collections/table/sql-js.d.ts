/** sql.js with its WebAssembly inside: the same as `sql.js`, in one file that is found wherever the bundle is. */
declare module 'sql.js/dist/sql-wasm-inline.js' {
  import initSqlJs from 'sql.js'
  export default initSqlJs
}
