/** The views by name. Each but the first is fetched when it is first shown. */
import type { Component } from 'vue'
import type { ViewName } from '../../preload/shell'
import { fetchedView } from './fetched-view'
import PromptView from './prompt/PromptView.vue'

export const views: Record<ViewName, Component> = {
  prompt: PromptView,
  layers: fetchedView(() => import('./layers/LayersView.vue')),
  compare: fetchedView(() => import('./compare/CompareView.vue')),
  patch: fetchedView(() => import('./patch/PatchView.vue')),
  attribution: fetchedView(() => import('./attribution/AttributionView.vue')),
  train: fetchedView(() => import('./train/TrainView.vue')),
  data: fetchedView(() => import('./data/DataView.vue')),
  steer: fetchedView(() => import('./steer/SteerView.vue')),
}
