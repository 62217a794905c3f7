/** What can be trained, in words. */
import type { TrainKind } from './train-forms'

export const trainWords: Record<TrainKind, { button: string; title: string; text: string }> = {
  probe: {
    button: 'Probe',
    title: 'New probe',
    text: 'A linear classifier at every layer: from which layer on can a property of the texts be read off? Judged on texts that were held out, against probes on shuffled labels.',
  },
  steering: {
    button: 'Steering vector',
    title: 'New steering vector',
    text: 'A vector that, added to the residual stream, makes given continuations likelier and others less likely, found by gradients through the model. It becomes a preset.',
  },
  dictionary: {
    button: 'Dictionary',
    title: 'New dictionary',
    text: 'A sparse autoencoder of activations, or a transcoder from one hook point to another: features of which few are active at a time, judged by the loss of the model with the reconstruction in its place.',
  },
  storyworld: {
    button: 'Small model',
    title: 'Train storyworld from scratch',
    text: 'The model that comes with Patchbay, trained anew from a seed on its own made-up world: how its loss falls, and when it learns what. The settings are those that made the one that comes along.',
  },
}
