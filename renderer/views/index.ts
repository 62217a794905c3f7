/** The views by name. Each but the first is fetched when it is first shown. */
import { defineAsyncComponent } from 'vue'
import type { Component } from 'vue'
import type { ViewName } from '../../preload/shell'
import PromptView from './prompt/PromptView.vue'

export const views: Record<ViewName, Component> = {
  prompt: PromptView,
  layers: defineAsyncComponent(() => import('./layers/LayersView.vue')),
  compare: defineAsyncComponent(() => import('./compare/CompareView.vue')),
  patch: defineAsyncComponent(() => import('./patch/PatchView.vue')),
  attribution: defineAsyncComponent(() => import('./attribution/AttributionView.vue')),
  train: defineAsyncComponent(() => import('./train/TrainView.vue')),
  data: defineAsyncComponent(() => import('./data/DataView.vue')),
  steer: defineAsyncComponent(() => import('./steer/SteerView.vue')),
}
