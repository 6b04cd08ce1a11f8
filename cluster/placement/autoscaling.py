"""How a layout follows a cluster that grows and shrinks: how many of each kind of worker there are to be."""

from pressrun.cluster.placement.candidates import first_layout
from pressrun.cluster.placement.devices import Devices
from pressrun.cluster.placement.layout import Layout, PlacementRequest
from pressrun.cluster.placement.requirements import Requirements


def posts_for(
    layout: Layout, wishes: PlacementRequest, devices: Devices, needs: Requirements, units: int
) -> dict[str, int]:
    """Workers of a layout on the devices that there are now, by what they are called. Its kind stays what it is: how
    the model is cut, and who has what. Of replicas there are never more than somebody asked for, and always one.
    """
    [replica] = [role for role in layout.roles if "denoise" in role.stages]
    if wishes.replicas and replica.gpus < 1:
        return {}  # as many as were asked for, wherever they are
    now = first_layout(PlacementRequest(layout.name, None, replica.shards), devices, needs, units)
    if now is None:
        return {replica.title: 1}
    counts = {role.title: role.count for role in now.roles}
    posts = {replica.title: min(counts.pop(replica.title), wishes.replicas or units)}
    pools = [role.title for role in layout.roles if role is not replica]
    if len(pools) == 1:
        return posts | {pools[0]: max(1, sum(counts.values()))}
    return posts | {title: counts[title] for title in pools if title in counts}
