/**
 * A MAC address of six bytes in the usual spelling, from any that Docker takes: `02:42:ac:11:00:02`, `02-42-AC-11-00-02`,
 * `0242.ac11.0002`; undefined for anything else.
 */
export function parseMac(text: string): string | undefined {
  const digits = /^(?:([0-9a-f]{2}([:-]))(?:[0-9a-f]{2}\2){4}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4})$/i.test(text)
    ? text.toLowerCase().replace(/[:.-]/g, '')
    : ''
  return digits === '' ? undefined : [...digits.matchAll(/../g)].join(':')
}
