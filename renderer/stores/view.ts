/** Which view is shown, in which theme, and how much room there is. */
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import type { ThemeName, ViewName } from '../../preload/shell'

/** Below this width the inspector is a drawer over the view instead of a column beside it. */
export const drawerBelow = 1080

export const useView = defineStore('view', () => {
  const current = ref<ViewName>('prompt')
  const themeChoice = ref<ThemeName>('system')
  const systemDark = ref(false)
  const width = ref(1280)
  const columnOpen = ref(true)
  const drawerOpen = ref(false)
  const modelMenuOpen = ref(false)
  const hubOpen = ref(false)
  const keysOpen = ref(false)
  const aboutOpen = ref(false)

  const theme = computed<'light' | 'dark'>(() =>
    themeChoice.value === 'system' ? (systemDark.value ? 'dark' : 'light') : themeChoice.value,
  )
  const compact = computed(() => width.value < drawerBelow)
  const inspectorOpen = computed({
    get: () => (compact.value ? drawerOpen.value : columnOpen.value),
    set: (open) => {
      if (compact.value) drawerOpen.value = open
      else columnOpen.value = open
    },
  })

  function show(view: ViewName): void {
    current.value = view
  }
  function toggleInspector(): void {
    inspectorOpen.value = !inspectorOpen.value
  }

  return {
    current,
    themeChoice,
    systemDark,
    width,
    theme,
    compact,
    inspectorOpen,
    modelMenuOpen,
    hubOpen,
    keysOpen,
    aboutOpen,
    show,
    toggleInspector,
  }
})
