/** For tools that know no .vue files (the linter): any of them is a component. vue-tsc takes their real types instead. */
declare module '*.vue' {
  import type { Component } from 'vue'
  const component: Component
  export default component
}
