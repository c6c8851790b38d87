/** A run in virtual time that can not be brought to its end: the fault of a program that keeps its processor. One line says whose. */
export class RunHangs extends Error {
  override readonly name = 'RunHangs'
}
