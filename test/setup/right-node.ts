export default function rightNode(): void {
  if (Number(process.versions.node.split('.')[0]) < 24) throw new Error(`tests need Node 24, this is ${process.version}: use npm test`)
}
