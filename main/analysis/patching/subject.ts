/** What sweeps need of an open model: that which runs. */
import type { Runnable } from '../../runtime'
import type { WaveSize } from '../../runtime/wave/size'
import type { AnalysisModel } from '../subject'

export interface PatchingModel extends Pick<AnalysisModel, 'facts' | 'certificate'> {
  readonly runnable: Runnable
  /** How large waves are on this machine. */
  readonly waveSize: WaveSize
}
