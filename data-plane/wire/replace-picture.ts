/** Changes the picture some rows in each turn: first what makes, then models and routes, then what breaks. */
import { limits } from '../../core/limits.ts'
import type { Endpoint, MeshSnapshot } from '../../core/mesh-snapshot.ts'
import type { PictureHead } from '../routing/routing-table.ts'
import { nextTurn } from './next-turn.ts'
import type { Primary } from './primary.ts'

type Changed = Pick<Primary, 'change' | 'setHead' | 'holdBreaks'>

/** Who is not named stays as it is. Two at once would mix: whoever calls waits for the one before. The head is asked for when its turn comes. */
export async function changePicture(
  primary: Changed,
  upserts: readonly Endpoint[],
  removed: readonly string[],
  head: () => PictureHead,
): Promise<void> {
  primary.holdBreaks(true)
  try {
    for (let at = 0; at < upserts.length; at += limits.feedRowsMax) {
      primary.change(upserts.slice(at, at + limits.feedRowsMax), [])
      await nextTurn()
    }
    primary.setHead(head())
    for (let at = 0; at < removed.length; at += limits.feedRowsMax) {
      primary.change([], removed.slice(at, at + limits.feedRowsMax))
      await nextTurn()
    }
  } finally {
    primary.holdBreaks(false)
  }
}

/** One whole picture in the place of another. */
export async function replacePicture(primary: Changed & Pick<Primary, 'endpointIds'>, snapshot: MeshSnapshot): Promise<void> {
  const named = new Set(snapshot.endpoints.map(({ id }) => id))
  await nextTurn()
  const gone = [...primary.endpointIds].filter((id) => !named.has(id))
  await nextTurn()
  await changePicture(primary, snapshot.endpoints, gone, () => snapshot)
}
