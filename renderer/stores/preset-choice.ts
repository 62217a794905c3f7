/** Which preset the steer view should show next: views that make one hand it over here. */
import { defineStore } from 'pinia'
import { ref } from 'vue'

export const usePresetChoice = defineStore('preset-choice', () => {
  /** Id of a preset; null once it is shown. */
  const wanted = ref<string | null>(null)
  return { wanted }
})
