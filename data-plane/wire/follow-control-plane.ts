/** A proxy that follows a control plane: starts from what it saved, hears the differences, tells outcomes, and saves what it hears. */
import type { Logger } from '../../core/edge/log.ts'
import type { PictureHead } from '../routing/routing-table.ts'
import { MeshClient, type MeshClientOptions } from './mesh-client.ts'
import { OutcomeReporter } from './outcome-reporter.ts'
import type { Primary } from './primary.ts'
import { changePicture } from './replace-picture.ts'
import { loadState, prepareStateDir, type SavedPicture } from './state-file.ts'
import { StateSaver } from './state-saver.ts'

/** What was saved, if it is whole. */
export function restorePicture(dir: string, log: Logger): SavedPicture | undefined {
  prepareStateDir(dir)
  const state = loadState(dir)
  switch (state.kind) {
    case 'none':
      return undefined
    case 'damaged':
      log.error({ detail: state.detail, aside: state.aside }, 'state.damaged')
      return undefined
    case 'picture': {
      const { savedAt, version, held } = state.picture
      log.info({ version, endpoints: held.length, ageSeconds: Math.max(0, Math.round((Date.now() - savedAt) / 1_000)) }, 'state.restored')
      return state.picture
    }
    default:
      return state satisfies never
  }
}

/** What the control plane does not say: it comes from a file of the proxy's own, or is empty. */
export type Rules = Omit<PictureHead, 'version'>

export type Following = { readonly mesh: MeshClient; readonly saver: StateSaver | undefined; stop(): Promise<void> }

export function followControlPlane(
  primary: Primary,
  about: Pick<MeshClientOptions, 'address' | 'proxyId' | 'zone' | 'version' | 'log'>,
  rules: () => Rules,
  state: { readonly dir: string; readonly restored: SavedPicture | undefined } | undefined,
): Following {
  const mesh = new MeshClient({
    ...about,
    held: state?.restored?.held ?? [],
    onChange: async (upserts, removed, version) => {
      saver?.changed()
      await changePicture(primary, upserts, removed, () => ({ ...rules(), version }))
      reporter.forget(removed)
    },
    onLoads: (rows) => primary.setLoads(rows),
    onLoadsHold: (teller) => primary.loadsHold(teller),
    onExplain: (query) => primary.explain(query),
  })
  const reporter = new OutcomeReporter(primary, mesh)
  const current = () => ({ version: mesh.snapshotVersion, held: mesh.held })
  const saver = state === undefined ? undefined : new StateSaver(state.dir, current, about.log)
  mesh.start()
  return {
    mesh,
    saver,
    async stop() {
      reporter.stop()
      mesh.close()
      await saver?.stop()
    },
  }
}
