from mmppvit.visualization.picture_grid import (
    distinct_colours,
    draw_instances,
    enlarge,
    picture_grid,
    save_picture,
)

__all__ = ['distinct_colours', 'draw_instances', 'enlarge', 'picture_grid', 'save_picture']
