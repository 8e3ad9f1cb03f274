import { randomInt } from 'node:crypto'

const ADJECTIVES = (
  'able agile amber ample arctic autumn awake balmy bold brave breezy bright brisk calm candid careful cheerful clear clever ' +
  'coastal cosmic cozy crisp curious dapper daring deft eager early earnest easy exact fair fancy fleet floral fluent fond ' +
  'free fresh gentle glad golden good grand great green handy hardy hazel hearty honest humble ideal jolly keen kind large ' +
  'light lively loyal lucid lucky lunar mellow merry mild modest neat nimble noble northern open orderly patient playful ' +
  'polite proper proud quick quiet rapid ready regal robust rosy round royal sage sandy sharp silent silver simple smooth ' +
  'snowy solar solid spry steady still stout sturdy sunny swift tender tidy tranquil true trusty upbeat urban valiant vast ' +
  'verdant vivid warm western wise witty young zesty'
).split(' ')

/** Of people to whom computing, mathematics and seafaring owe something. */
const SURNAMES = (
  'abel agnesi amundsen archimedes babbage barents bell bering bessel boole bose cabot cantor cauchy cerf church codd cook ' +
  'coriolis curie dijkstra dirac drake earhart erikson euclid euler faraday fermat fibonacci franklin frege galois gauss ' +
  'germain goedel hamilton hamming hawkins hertz hilbert hoare hopper hudson huffman huygens hypatia jacobi kalman kepler ' +
  'kernighan kilburn knuth kolmogorov kovalevskaya lagrange lamport laplace lebesgue leibniz liskov lovelace magellan ' +
  'markov maury maxwell mercator milner minsky moebius moore nansen napier naur nelson neumann newton noether ohm pascal ' +
  'peano peary perlman planck poincare postel ptolemy ramanujan riemann ritchie rivest ross russell shackleton shannon ' +
  'slocum sobel stokes tarjan tasman tesla thompson turing venn vespucci viterbi wallis weyl wiener wilkes wilkins wirth ' +
  'zermelo zheng zuse'
).split(' ')

const pick = (list: readonly string[]): string => list[randomInt(list.length)] ?? ''

/** A free name such as `calm_lovelace`; with a digit appended when the plain ones tried were taken. */
export function inventName(taken: (name: string) => boolean): string {
  for (let attempt = 0; ; attempt++) {
    const name = `${pick(ADJECTIVES)}_${pick(SURNAMES)}${attempt < 6 ? '' : randomInt(10 ** Math.min(attempt - 5, 9))}`
    if (!taken(name)) return name
  }
}
