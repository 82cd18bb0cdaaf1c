# Flags of every target. `hvkit_flags` is linked by all of them; HV_SANITIZE, HV_HARDEN and HV_WERROR come from the presets.
option(HV_WERROR "warnings are errors (CI)" OFF)
option(HV_HARDEN "hardened release flags" OFF)
set(HV_SANITIZE "" CACHE STRING "address,undefined | thread | empty")

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(hvkit_flags INTERFACE)
target_compile_definitions(hvkit_flags INTERFACE _GNU_SOURCE HV_VERSION="${PROJECT_VERSION}")
target_compile_options(hvkit_flags INTERFACE
  -g -Wall -Wextra -Wformat=2 -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla -Wpointer-arith
  -Wimplicit-fallthrough -Werror=implicit -Werror=incompatible-pointer-types -Werror=int-conversion
  -Werror=return-type -fno-common -fno-strict-aliasing -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.
  $<$<BOOL:${HV_WERROR}>:-Werror>)
target_link_options(hvkit_flags INTERFACE -Wl,--as-needed)

if(HV_SANITIZE)
  target_compile_options(hvkit_flags INTERFACE -fsanitize=${HV_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  target_link_options(hvkit_flags INTERFACE -fsanitize=${HV_SANITIZE})
  # AddressSanitizer wraps the XDR functions and looks for the real ones when a program begins: a plugin whose library brings them
  # later (libtirpc) would call nothing at all
  find_library(TIRPC NAMES libtirpc.so.3 tirpc)
  if(TIRPC AND HV_SANITIZE MATCHES "address")
    target_link_options(hvkit_flags INTERFACE -Wl,--push-state,--no-as-needed ${TIRPC} -Wl,--pop-state)
  endif()
endif()
if(HV_FUZZ AND HV_SANITIZE MATCHES "address")
  # libFuzzer steers by coverage: the libraries under test need it too, not only the target's own file
  target_compile_options(hvkit_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(HV_HARDEN)
  # hardening of the distribution's compiler; -z nodlopen is never used: plugins are opened at run time
  target_compile_options(hvkit_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong
    -fstack-clash-protection -fcf-protection=full -ftrivial-auto-var-init=zero -fno-delete-null-pointer-checks
    -fno-strict-overflow)
  target_link_options(hvkit_flags INTERFACE -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code)
endif()
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
