// How old supervision's word is, for every page that shows it.

import { nowUs } from "./time.js";

const OLD_US = 180e6; // it reports once a minute
const ROSTER_OLD_US = 3600e6;

export function agesOf({ as_of_us: asOfUs, roster_us: rosterUs }) {
  const [judgedUs, rosterAgeUs] = [nowUs() - asOfUs, asOfUs - rosterUs];
  return { judgedUs, rosterAgeUs, isOld: judgedUs > OLD_US, rosterIsOld: rosterAgeUs > ROSTER_OLD_US };
}
