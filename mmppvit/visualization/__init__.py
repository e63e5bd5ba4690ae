from mmppvit.visualization.image_grid import (
    distinct_colors,
    draw_instances,
    enlarge,
    image_grid,
    save_image,
)

__all__ = ['distinct_colors', 'draw_instances', 'enlarge', 'image_grid', 'save_image']
