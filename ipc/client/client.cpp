#include "ipc/client/client.h"
